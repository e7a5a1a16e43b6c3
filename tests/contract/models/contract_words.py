"""A module in a package's code directory."""


def joined(words):
    return " ".join(words)
