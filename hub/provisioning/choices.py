"""The fixed words of provisioning's columns."""

from django.db import models


class Role(models.TextChoices):
    SERVER = "server"
    WORKER = "worker"


class DistributionName(models.TextChoices):
    K3S = "k3s"
    RKE2 = "rke2"
