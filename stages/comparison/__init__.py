"""Two runs side by side: what differs, where they diverge, whether it matters.

`analysis` answers each question from what the runs recorded, `rerun` computes on the present
machine, `page` words and shows it. Files of the pipeline are only read here, never written.
"""
