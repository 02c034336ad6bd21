"""What indexes offer a machine: releases, their wheels, and the torch that they name."""
