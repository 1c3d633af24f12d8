"""The sky above a site: nights, twilight, moon, altitudes. Pure, and never from the network.

Altitudes are geometric, without refraction, and within 0.02 degrees of astropy's AltAz at zero
pressure (see `toros.sky.earth` for what happens beyond the packaged tables).
"""
