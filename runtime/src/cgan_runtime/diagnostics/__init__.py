"""What cgan-check reports about the device, the golden sample and the speed."""
