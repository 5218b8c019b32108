"""ImageJ and Fiji: a Java virtual machine in this process, and care_bridge's commands in it.

    from care_bridge.fiji import attach, start

Importing this starts nothing and loads neither Java nor ONNX Runtime.
"""

from care_bridge.fiji.gateway import Gateway, attach, start

__all__ = ["Gateway", "attach", "start"]
