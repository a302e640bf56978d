# syntax=docker/dockerfile:1
# The operator's image: a static binary and a CA bundle. For several architectures:
#   docker buildx build --platform linux/amd64,linux/arm64 .
# hack/operator-image.sh makes the same without Docker.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin coxswain && cp target/release/coxswain /coxswain

FROM scratch
LABEL org.opencontainers.image.title=coxswain \
      org.opencontainers.image.description="Heals and delivers services on Kubernetes by declared sequences" \
      org.opencontainers.image.source=https://github.com/coxswain-dev/coxswain \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /coxswain /coxswain
USER 65532:65532
ENTRYPOINT ["/coxswain"]
CMD ["run"]
