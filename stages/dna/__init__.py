"""The hardware DNA: what a machine says of itself, and what its arithmetic shows.

`declared` gathers what can be read (`machine`, `software`, `switches`) and picks out of it the
identity: what decides bits. `probes` and `numerics` measure the arithmetic itself. Comparing the
DNA of two machines is left to `comparison`. Nothing here records a person or a box: no host
name, user name, serial number, UUID or path.
"""
