"""Defects of the BMAD performance monitor that must not be ours; docs/defects.yaml says which test stands for which.

Here are those that no other test shows; the others are shown where the part is tested that would have them.
"""
