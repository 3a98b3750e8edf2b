//! For which district the present work is done. Limits that hold for each district ask this instead of being told by everybody between.

use std::sync::Arc;

tokio::task_local! {
    static DISTRICT: Arc<str>;
}

/// Does the work for a district, named by its namespace on the hub. A task or thread that it starts is not part of it: see [`carried`].
pub async fn work_for<F: Future>(district: Arc<str>, work: F) -> F::Output {
    DISTRICT.scope(district, work).await
}

/// The district that the present work is for; none if it is for all.
pub fn current() -> Option<Arc<str>> {
    DISTRICT.try_with(Clone::clone).ok()
}

/// Work that blocks, to be done on another thread for the present district.
pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let district = current();
    move || match district {
        Some(district) => DISTRICT.sync_scope(district, work),
        None => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_knows_its_district_also_on_another_thread() {
        assert_eq!(current(), None);
        let seen = work_for("shinan".into(), async {
            let blocking = tokio::task::spawn_blocking(carried(current)).await.expect("it ends");
            (current(), blocking)
        });
        let shinan = Some(Arc::<str>::from("shinan"));
        assert_eq!(seen.await, (shinan.clone(), shinan));
    }
}
