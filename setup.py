"""Map the four top-level rooms into the one import name (docs/adr/0001-layout.md)."""

from setuptools import find_packages, setup

ROOMS = ("actors", "bus", "store", "supervisor")

packages = ["callboard"]
package_dir = {"callboard": "src/callboard"}
for room in ROOMS:
    packages += [f"callboard.{room}"] + [f"callboard.{room}.{name}" for name in find_packages(room)]
    package_dir[f"callboard.{room}"] = room

setup(packages=packages, package_dir=package_dir)
