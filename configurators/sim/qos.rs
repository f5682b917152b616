//! What the simulated kernel does with host QoS.

use vdsm_model::qos::{Class, Curves, Filter, Shaper};

use super::Link;
use crate::iproute2::QosChange;

type Done = Result<(), String>;

impl Link {
    pub(super) fn shape(&mut self, change: &QosChange) -> Done {
        if let QosChange::AddRoot { default } = change {
            if self.shaper.is_some() || self.qdisc.is_some() {
                return Err("NLM_F_REPLACE needed to override".into());
            }
            self.shaper = Some(Shaper { default: *default, ..Shaper::default() });
            return Ok(());
        }
        let shaper = self.shaper.as_mut().ok_or("Failed to find specified qdisc")?;
        match change {
            QosChange::AddRoot { .. } => {}
            QosChange::SetRoot { default } => shaper.default = *default,
            QosChange::DelRoot => self.shaper = None,
            QosChange::AddClass { class, curves } => return add(shaper, *class, *curves),
            QosChange::SetClass { class, curves } => {
                let known = &mut found(shaper, *class)?.curves;
                // hfsc_change_class: what is not told stays.
                *known = Curves { ls: curves.ls.or(known.ls), ul: curves.ul.or(known.ul), rt: curves.rt.or(known.rt) };
            }
            QosChange::DelClass { class } => {
                // hfsc_delete_class: filters hold it.
                if found(shaper, *class)?.filter != Filter::None {
                    return Err("Device or resource busy".into());
                }
                shaper.classes.remove(class);
            }
            QosChange::AddLeaf { class } => found(shaper, *class)?.leaf = true,
            QosChange::DelLeaf { class } => found(shaper, *class)?.leaf = false,
            QosChange::AddFilter { class } => {
                let filter = &mut found(shaper, *class)?.filter;
                // A second one stands beside the first.
                *filter = if *filter == Filter::None { Filter::Ours } else { Filter::Other };
            }
            QosChange::DelFilter { class } => {
                let filter = &mut found(shaper, *class)?.filter;
                if *filter == Filter::None {
                    return Err("Invalid argument".into());
                }
                *filter = Filter::None;
            }
        }
        Ok(())
    }
}

fn found(shaper: &mut Shaper, class: u16) -> Result<&mut Class, String> {
    shaper.classes.get_mut(&class).ok_or_else(|| "No such file or directory".into())
}

fn add(shaper: &mut Shaper, class: u16, curves: Curves) -> Done {
    if class == 0 || shaper.classes.contains_key(&class) {
        return Err("File exists".into());
    }
    // hfsc_change_class; `tc` itself refuses an upper limit for nothing.
    if curves.ls.is_none() && curves.rt.is_none() || curves.ul.is_some() && curves.ls.is_none() {
        return Err("Invalid argument".into());
    }
    shaper.classes.insert(class, Class { curves, ..Class::default() });
    Ok(())
}
