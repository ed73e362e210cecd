"""One file per family of models. A file here with a `SPECS` tuple is in the table: nothing else
to register. Importing a family is cheap; torch, timm and torchvision load when a model is built.
"""
