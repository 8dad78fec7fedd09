"""Kills runs of the real graph, at named points and at random instants, and resumes them.

    python -m killing --seed 7 --threads 40 --workers 2 --folder DIR --model-url URL

One process imports everything and forks a worker per folder; a worker has a home with a server of
its own and forks a child for every start and resume, so that an attempt costs no import. Nothing in
the product knows: the points are planted from outside (`points`), and where a child stood when it
died is read from memory it shared with its parent (`trace`).
"""
