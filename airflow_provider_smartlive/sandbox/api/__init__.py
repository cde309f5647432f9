"""The sandbox's HTTP interface: MetaStudio's operations behind their checks, and the control API."""
