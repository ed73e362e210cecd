"""Pictures: one file each, a table or arrays in, a matplotlib Figure out.

`style` holds what they share: palette, sizes, and saving to PNG, SVG files and inline SVG.
No chart reads a file or decides where it goes; stages and the report do.
"""
