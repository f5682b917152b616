//! How long what was mended is left alone before it is mended again.
//!
//! Pure; the time is the caller's. The first change is mended at once; whoever changes it again
//! and again, or what cannot be mended, is come back to less and less often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::waiting::Entity;

/// After the first attempt; twice as long after each one more.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// Who has stayed as it should for so many pauses starts anew.
const TRUST: u32 = 10;

/// What was tried lately.
#[derive(Default)]
pub(super) struct Pauses(BTreeMap<Entity, Pause>);

struct Pause {
    until: Instant,
    length: Duration,
}

impl Pauses {
    /// Whether it may be tried.
    pub(super) fn is_over(&self, entity: &Entity, now: Instant) -> bool {
        self.until(entity).is_none_or(|until| until <= now)
    }

    /// When it may be tried again; none: it was not tried lately.
    pub(super) fn until(&self, entity: &Entity) -> Option<Instant> {
        self.0.get(entity).map(|pause| pause.until)
    }

    /// It was tried.
    pub(super) fn lengthen(&mut self, entity: &Entity, now: Instant) {
        let length = self.0.get(entity).map_or(FIRST, |pause| (pause.length * 2).min(LONGEST));
        self.0.insert(entity.clone(), Pause { until: now + length, length });
    }

    /// Forgets those who have stayed in sync for long.
    pub(super) fn forget(&mut self, is_out: impl Fn(&Entity) -> bool, now: Instant) {
        self.0.retain(|entity, pause| is_out(entity) || pause.until + pause.length * TRUST > now);
    }
}

#[cfg(test)]
mod tests {
    use vdsm_model::name::DeviceName;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_forgotten_after_long_peace() {
        let (start, mut pauses) = (Instant::now(), Pauses::default());
        let bond = Entity::Bond(DeviceName::try_from("bond0").unwrap());
        assert!(pauses.is_over(&bond, start));
        let mut now = start;
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            pauses.lengthen(&bond, now);
            let until = pauses.until(&bond).unwrap();
            assert_eq!(until - now, Duration::from_secs(seconds));
            assert!(!pauses.is_over(&bond, until - Duration::from_millis(1)) && pauses.is_over(&bond, until));
            now = until;
        }
        pauses.forget(|_| false, now + Duration::from_secs(2999));
        assert!(pauses.until(&bond).is_some());
        pauses.forget(|_| true, now + Duration::from_secs(3001));
        assert!(pauses.until(&bond).is_some(), "it is out of sync still");
        pauses.forget(|_| false, now + Duration::from_secs(3001));
        assert!(pauses.until(&bond).is_none());
    }
}
