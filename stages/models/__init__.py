"""x"""

MODELS = {"lenet_large": "lenet", "swin_tiny": "swin"}
