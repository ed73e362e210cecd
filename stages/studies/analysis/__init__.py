"""Figures of finished cells: intervals, spreads, rankings, judged claims, advice."""
