"""From pixels and an untrained model to weights: data on the device, the step, the epochs.

`engine` is one step, `loop` the epochs around it, `checkpoint` what makes them survivable,
`trace` what they leave for comparison. The switches that make them repeatable are in
`core.determinism`.
"""
