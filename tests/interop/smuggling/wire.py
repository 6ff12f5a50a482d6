"""The corpus in HTTP/2, as far as it can be said there, and what only HTTP/2 can say."""


def expressible(vectors):
    return []


def send(front, vector, run):
    return []
