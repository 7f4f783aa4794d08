"""What every function of a deployment is built on."""

from dataclasses import dataclass

from infra.building_blocks.foundation import Foundation
from infra.building_blocks.layers import Layers
from infra.building_blocks.shift import Shifts
from infra.stores.alerting import Alerting
from infra.stores.cache import Cache
from infra.stores.checkpoints import Checkpoints
from infra.stores.control_data import ControlData
from infra.stores.database import Database
from infra.stores.lake import Lake
from infra.stores.stream import Stream


@dataclass(frozen=True, kw_only=True)
class Base(Foundation):
    """The foundation and the stores. A function names the stores that it uses."""

    layers: Layers
    shifts: Shifts
    stream: Stream
    lake: Lake
    database: Database
    cache: Cache
    control_data: ControlData
    checkpoints: Checkpoints
    alerting: Alerting
