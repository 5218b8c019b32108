"""ImageJ and Fiji: a Java virtual machine in this process, and care_bridge's commands in it."""
