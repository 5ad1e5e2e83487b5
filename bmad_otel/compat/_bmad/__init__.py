"""What `instrument_bmad` does to a BMAD that is used as it is, one part of BMAD in each module.

`patches` remembers what was changed, so that all of it can be taken back; `late` waits for what is not imported yet.
"""
