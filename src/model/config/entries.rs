//! The networks of a configuration, and its bonds: maps by name that know as well what else one
//! asks for them, so that a question about one device costs the same however many there are.
//!
//! A copy shares everything with its original, as the host's moments do. What is asked for is
//! [`index`](super::index)'s.

use std::fmt;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// What has a name in a configuration.
pub trait Entity: Clone + PartialEq {
    /// The type of its name.
    type Name: Ord + Clone + fmt::Debug;
    /// The names by what else one asks for them.
    type Index: Index<Self>;
}

/// Finds entities by something else than their names.
pub trait Index<E: Entity>: Clone + Default {
    /// An entity comes.
    fn enter(&mut self, name: &E::Name, entity: &E);
    /// An entity goes that has come as it is now.
    fn leave(&mut self, name: &E::Name, entity: &E);
}

/// Entities by name.
#[derive(Clone)]
pub struct Entries<E: Entity> {
    by_name: RedBlackTreeMapSync<E::Name, Arc<E>>,
    index: E::Index,
}

impl<E: Entity> Entries<E> {
    /// None.
    pub fn new() -> Entries<E> {
        Entries::default()
    }

    /// What is found by something else than the name.
    pub(super) fn index(&self) -> &E::Index {
        &self.index
    }

    /// Puts one in, or in the place of the one of that name. Copies made before stay as they are.
    pub fn insert(&mut self, name: E::Name, entity: impl Into<Arc<E>>) {
        self.remove(&name);
        let entity = entity.into();
        self.index.enter(&name, &entity);
        self.by_name.insert_mut(name, entity);
    }

    /// Takes one out, and gives it back.
    pub fn remove(&mut self, name: &E::Name) -> Option<Arc<E>> {
        let entity = Arc::clone(self.by_name.get(name)?);
        self.index.leave(name, &entity);
        self.by_name.remove_mut(name);
        Some(entity)
    }

    /// Changes the one of that name, if there is one.
    pub fn change(&mut self, name: &E::Name, change: impl FnOnce(&mut E)) {
        if let Some(mut entity) = self.remove(name) {
            change(Arc::make_mut(&mut entity));
            self.insert(name.clone(), entity);
        }
    }

    /// The one of that name.
    pub fn get(&self, name: &E::Name) -> Option<&E> {
        self.by_name.get(name).map(Arc::as_ref)
    }

    /// The same, to be kept.
    pub fn shared(&self, name: &E::Name) -> Option<&Arc<E>> {
        self.by_name.get(name)
    }

    /// The one of that name, and the name as it is kept here.
    pub fn get_key_value(&self, name: &E::Name) -> Option<(&E::Name, &E)> {
        self.by_name.get_key_value(name).map(|(name, entity)| (name, entity.as_ref()))
    }

    /// Whether there is one of that name.
    pub fn contains_key(&self, name: &E::Name) -> bool {
        self.by_name.contains_key(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&E::Name, &E)> {
        self.by_name.iter().map(|(name, entity)| (name, entity.as_ref()))
    }

    /// All names in their order.
    pub fn keys(&self) -> impl Iterator<Item = &E::Name> {
        self.by_name.keys()
    }

    /// All, by name, without their names.
    pub fn values(&self) -> impl Iterator<Item = &E> {
        self.by_name.values().map(Arc::as_ref)
    }

    /// The names of those that are new here, not what they were `before`, or gone.
    pub fn changes_from(&self, before: &Entries<E>) -> Vec<E::Name> {
        let differs =
            |(name, entity): &(&E::Name, &Arc<E>)| !before.shared(name).is_some_and(|before| is_same(entity, before));
        let set = self.by_name.iter().filter(differs).map(|(name, _)| name);
        set.chain(before.keys().filter(|name| !self.contains_key(name))).cloned().collect()
    }
}

/// Mostly they are one and the same.
fn is_same<E: PartialEq>(one: &Arc<E>, other: &Arc<E>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

impl<E: Entity> Default for Entries<E> {
    fn default() -> Entries<E> {
        Entries { by_name: RedBlackTreeMapSync::new_sync(), index: E::Index::default() }
    }
}

/// The index follows from the rest.
impl<E: Entity> PartialEq for Entries<E> {
    fn eq(&self, other: &Entries<E>) -> bool {
        self.len() == other.len()
            && self.by_name.iter().all(|(name, entity)| other.shared(name).is_some_and(|its| is_same(entity, its)))
    }
}

impl<E: Entity + fmt::Debug> fmt::Debug for Entries<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<E: Entity, T: Into<Arc<E>>> FromIterator<(E::Name, T)> for Entries<E> {
    fn from_iter<I: IntoIterator<Item = (E::Name, T)>>(all: I) -> Entries<E> {
        let mut entries = Entries::default();
        entries.extend(all);
        entries
    }
}

impl<E: Entity, T: Into<Arc<E>>> Extend<(E::Name, T)> for Entries<E> {
    fn extend<I: IntoIterator<Item = (E::Name, T)>>(&mut self, all: I) {
        all.into_iter().for_each(|(name, entity)| self.insert(name, entity));
    }
}

impl<E: Entity, T: Into<Arc<E>>, const N: usize> From<[(E::Name, T); N]> for Entries<E> {
    fn from(all: [(E::Name, T); N]) -> Entries<E> {
        all.into_iter().collect()
    }
}
