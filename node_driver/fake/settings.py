"""Settings of the fake driver: the core of what real drivers ask for, under the same names."""

from node_driver.settings import Setting, SettingsSchema

SETTINGS = SettingsSchema(
    Setting(name="cpu_count", type="integer", title="CPUs", default=2, minimum=1, maximum=512),
    Setting(name="memory_gib", type="integer", title="Memory (GiB)", default=4, minimum=1, maximum=24576),
    Setting(name="disk_gib", type="integer", title="Disk (GiB)", default=40, minimum=1, maximum=65536),
    Setting(name="image", type="string", title="Image", required=True, minimum=1, maximum=253),
    Setting(name="network", type="string", title="Network", required=True, minimum=1, maximum=253),
)
