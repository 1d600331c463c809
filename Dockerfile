# The server and the operator for those who have Docker: `docker build --target ordermill .`, and `--target operator`.
# `cargo xtask image` makes the same images without it.
FROM docker.io/library/rust:1-bookworm AS build
WORKDIR /source
COPY . .
# Linked statically with the C library of the image: nothing else is needed to run it.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    target=$(rustc -vV | sed -n 's/^host: //p') && \
    RUSTFLAGS='-C target-feature=+crt-static -C strip=debuginfo' cargo build --locked --release --target "$target" \
        --package ordermill --package ordermill-operator --bins && \
    mkdir -p /built/data && cp "target/$target/release/ordermill" "target/$target/release/ordermill-operator" /built

FROM scratch AS operator
COPY --from=build /built/ordermill-operator /ordermill-operator
USER 65532:65532
EXPOSE 9090
ENTRYPOINT ["/ordermill-operator"]
CMD ["run"]

FROM scratch AS ordermill
COPY --from=build /built/ordermill /ordermill
COPY --from=build --chown=65532:65532 /built/data /var/lib/ordermill
USER 65532:65532
EXPOSE 8080 7080
VOLUME /var/lib/ordermill
ENTRYPOINT ["/ordermill"]
CMD ["serve", "--listen=0.0.0.0:8080", "--data-dir=/var/lib/ordermill"]
