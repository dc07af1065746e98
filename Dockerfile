# syntax=docker/dockerfile:1
FROM rust:1.95.0-bookworm AS build
WORKDIR /build
COPY . .
ENV SQLX_OFFLINE=true
RUN cargo build --release --locked --bin costwake

FROM debian:12-slim
# The client programs of PostgreSQL serve backup and restore; unpinned, so that a rebuild takes security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/costwake costwake
COPY --from=build /build/target/release/costwake /usr/local/bin/costwake
USER 10001
ENV COSTWAKE_DATA_DIR=/var/lib/costwake \
    COSTWAKE_LISTEN=0.0.0.0:8080 \
    COSTWAKE_LOG_FORMAT=json
VOLUME /var/lib/costwake
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["costwake", "health"]
ENTRYPOINT ["costwake"]
CMD ["serve"]
