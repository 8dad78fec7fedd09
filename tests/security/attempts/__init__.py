"""Attempts to get out of a desktop: tables of attacks, and the program that runs them inside.

Every attempt is an attack that must end in one of its ``stopped`` outcomes, a harmless twin that
takes the same road and must succeed, and the name of the wall whose removal must change the
attack's outcome (or, after ``none:``, why no single wall can be removed for it). Standard library
only, low-level on purpose, with x86_64 call numbers.
"""
