"""What a model costs: parameters, operations, time, memory, energy."""

TRAIN_KEYS = ("dropout", "drop_path", "fast_kernels", "memory_format")
"""What of `train` a profile depends on."""
