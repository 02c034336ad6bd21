"""What an environment is proved to do, by trying it in processes of its own.

`subject` is what is proved. `resolves`, `loads` and `runs` are the checks of the grades, and know
nothing of each other; what the last two hand to the driver is in `device`. `proof` is the whole of
it, and `model` its report. `child` runs the programs, which are in ``programs``.
"""
