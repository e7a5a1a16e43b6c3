"""Files on this machine's disks and in object stores."""
