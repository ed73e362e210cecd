"""Two runs side by side: what differs, where they part, whether it matters.

`sources` and `record` read runs from git, DVC or folders; `setup`, `causes`, `parting`, `inside`,
`statistics` and `cost` each answer one question; `verdict` climbs the ladder; `together` joins
all of it and `text`, `page` show it. `replay` and `origin` compute on the present machine. Files
of the pipeline are only read here, never written.
"""
