//! What the gate lets through, as types: who has one of these has asked the gate, since nothing else makes them.

use super::Scope;
use crate::{ids::SiteName, runs::Action};
use p861_crds::Reason;
use std::{fmt, ops::Deref};

/// A site that was allotted to whoever asks: the clients of sites are given out for this, and for no mere name. Only [`Scope::site`] makes one. It is neither
/// stored nor read: what is stored is a name, and is asked about again.
///
/// ```compile_fail
/// let site: p861_core::runs::AllottedSite = serde_json::from_str("\"west\"").unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllottedSite(SiteName);

impl Deref for AllottedSite {
    type Target = SiteName;

    fn deref(&self) -> &SiteName {
        &self.0
    }
}

impl fmt::Display for AllottedSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<AllottedSite> for SiteName {
    fn from(site: AllottedSite) -> Self {
        site.0
    }
}

/// A district's object names a site that is not the district's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("site {site} is not one of the sites of {of}: see spec.sites of its District")]
pub struct SiteNotAllotted {
    /// The site.
    pub site: String,
    /// The district's namespace on the hub.
    pub of: String,
}

impl SiteNotAllotted {
    /// The reason of the API.
    pub const fn reason(&self) -> Reason {
        Reason::SiteNotAllotted
    }
}

impl Scope {
    /// The site, if it is one of those that may be touched. The one place where a name of a site becomes the right to ask that site.
    ///
    /// # Errors
    /// [`SiteNotAllotted`]. Nothing but another spec mends it.
    pub fn site(&self, site: &SiteName) -> Result<AllottedSite, SiteNotAllotted> {
        if self.sites.contains(site) {
            return Ok(AllottedSite(site.clone()));
        }
        Err(SiteNotAllotted { site: site.to_string(), of: self.hub_namespace.clone() })
    }
}

/// An action that its run may perform. Only [`Scope::permits`] makes one, and effects are performed for nothing else. What runs a command or reaches into a namespace
/// takes this, and no action by itself.
#[derive(Clone, Copy, Debug)]
pub struct Permitted<'a> {
    action: &'a Action,
    scope: &'a Scope,
}

impl<'a> Permitted<'a> {
    pub(super) fn new(action: &'a Action, scope: &'a Scope) -> Self {
        Self { action, scope }
    }

    /// The action.
    pub const fn action(self) -> &'a Action {
        self.action
    }

    /// Whether it reaches into this namespace of its site.
    pub fn reaches(self, namespace: &str) -> bool {
        self.action.touches().namespaces.contains(&namespace)
    }

    /// A site of the action.
    ///
    /// # Errors
    /// [`SiteNotAllotted`] if the site is not the run's, and so none of the action's.
    pub fn site(self, site: &SiteName) -> Result<AllottedSite, SiteNotAllotted> {
        self.scope.site(site)
    }
}
