//! What is worked out once for all analyses that look at it, and anew only where what it is made from is another.

use sqlx::PgConnection;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) enum SharedAnalysis {
    /// Changes of prices, made from the generations that count.
    Prices,
    /// Cost that moved with tags, made from what was published last.
    Retags,
}

/// What it is made from is another than it was.
#[derive(Debug)]
pub(super) struct Changed {
    analysis: SharedAnalysis,
    /// The ids that it was made from last; none before the first time.
    pub before: Vec<i64>,
    /// The ids that it is made from now.
    pub now: Vec<i64>,
}

impl SharedAnalysis {
    /// Holds off whoever else would work it out until the transaction ends; whoever waits finds the work done. Nothing
    /// where nothing changed.
    pub async fn begin(self, conn: &mut PgConnection) -> sqlx::Result<Option<Changed>> {
        sqlx::query!("SELECT pg_advisory_xact_lock($1)", self.lock()).execute(&mut *conn).await?;
        let before = sqlx::query_scalar!("SELECT made_from FROM shared_analysis WHERE analysis = $1", self.key())
            .fetch_optional(&mut *conn)
            .await?
            .unwrap_or_default();
        let now = self.made_from(conn).await?;
        Ok((before != now).then_some(Changed { analysis: self, before, now }))
    }

    async fn made_from(self, conn: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
        match self {
            Self::Prices => {
                sqlx::query_scalar!(
                    "SELECT generation_id FROM generation WHERE state = 'current' ORDER BY generation_id"
                )
                .fetch_all(conn)
                .await
            }
            Self::Retags => {
                sqlx::query_scalar!(r#"SELECT coalesce(max(publication_id), 0) AS "id!" FROM publication"#)
                    .fetch_all(conn)
                    .await
            }
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Prices => "prices",
            Self::Retags => "retags",
        }
    }

    // Numbers that nothing else locks.
    fn lock(self) -> i64 {
        match self {
            // "prices" in ASCII.
            Self::Prices => 123_636_696_704_371,
            // "retags" in ASCII.
            Self::Retags => 125_780_071_344_243,
        }
    }
}

impl Changed {
    /// Notes what it was made from, once it is worked out.
    pub async fn done(self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query!(
            "INSERT INTO shared_analysis (analysis, made_from) VALUES ($1, $2)
             ON CONFLICT (analysis) DO UPDATE SET made_from = excluded.made_from",
            self.analysis.key(),
            &self.now
        )
        .execute(conn)
        .await
        .map(drop)
    }
}
