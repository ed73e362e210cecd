"""The trained model outside the pipeline: pictures answered, and files for other programs."""
