"""Fuzzing: laws that hold for any input (`laws`), mutations that know the structure (`mutate`), and three ways to run
them: property tests and a replay of the corpus in the quick suite, `harness` with atheris for as long as one likes.
"""
