"""The campaign: faults, damage, load and growth, tried in numbers; ``make trust`` runs it, its results are in the docs.

Each part is a package whose module ``campaign`` has a function ``run``: it tries what the part is about and returns an
`Outcome`. The tests of the project run each part in its short form.
"""
