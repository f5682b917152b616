//! Pictures of a host's networks, from the answer of `Host.getTopology`: what is wired to what.
//!
//! Nics are at the bottom, above them bonds, VLANs, bridges and networks, and the ports of virtual
//! machines on top. A bridge that carries a network is one box with it, as the two have one name and
//! one fate. What is wanted and missing is dashed red, what differs from the configuration is
//! orange, what is not ours is grey; the words say it too. Like networks are drawn as one when
//! there are many (`fold`). Nothing here asks the host, and the tree for terminals is in `show`.

mod block; // rows of what hangs together
mod boxes; // what a box says
mod dot; // for graphviz
mod fold; // many alike become one
mod layout; // boxes get their places
mod mermaid; // for web pages with Mermaid
mod order; // few crossings
mod route; // wires get their ways
mod scene; // devices become boxes and wires
mod svg; // for any browser
mod tower; // boxes that stand on one another
mod width; // how long a text will be

use serde_json::Value;

use crate::show::topology::Topology;
use scene::Scene;

/// A self-contained SVG 1.1 document: no scripts, no fonts or other files from elsewhere.
///
/// `topology` is the answer of `Host.getTopology`; any JSON will do, and what is not understood is
/// left out. Sizes are in CSS pixels. Details of a box show as a tooltip.
pub fn svg(topology: &Value) -> String {
    svg::drawn(&scene(topology))
}

/// The same for `dot -Tsvg` of graphviz.
pub fn dot(topology: &Value) -> String {
    dot::written(&scene(topology))
}

/// The same as a flowchart of Mermaid, as many wikis and forges draw it.
///
/// Mermaid itself refuses texts of more than 50000 characters unless its page allows them; that is
/// about 150 networks of which none can be drawn with others.
pub fn mermaid(topology: &Value) -> String {
    mermaid::written(&scene(topology))
}

fn scene(topology: &Value) -> Scene {
    Scene::of(&Topology::read(topology))
}

#[cfg(test)]
mod laws; // what holds for any host
#[cfg(test)]
mod tests; // pictures as in files
