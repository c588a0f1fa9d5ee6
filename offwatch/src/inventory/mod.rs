//! Which interfaces and VMs exist on this host.







