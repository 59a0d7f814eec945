# SPDX-License-Identifier: MIT
"""What the suites of the examples share."""
import os

from support import SOURCE_DIR


def expect_file(name):
    """What the example logs."""
    return os.path.join(SOURCE_DIR, "examples", name + ".expect")


def listening(process):
    """The address, as soon as somebody accepts there."""
    address = process.wait_for(r"msg=listening .*address=tcp://(\S+)").group(1)
    process.wait_for("msg=started ")
    return address
