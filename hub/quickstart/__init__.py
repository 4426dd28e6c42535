"""Everything one machine needs to run the whole hub: embedded servers, certificates, processes, the demo job."""
