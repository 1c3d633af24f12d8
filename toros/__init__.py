"""TOROS: the software of a robotic observatory that follows alerts.

A suite of daemons (`preprocessor`, and later `telescope`, `dome` and
`lvcgcn`), each answering one function, ``front_desk(work_order)``, over
XML-RPC.
"""

__version__ = "0.1.0"
