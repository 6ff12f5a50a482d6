def hostile(place):
    pass
