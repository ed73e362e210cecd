"""Blocks, number formats and rendering that report, comparison and study pages share."""
