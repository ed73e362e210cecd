"""x"""

SOURCES = {"digits": "digits", "cifar10": "cifar"}
