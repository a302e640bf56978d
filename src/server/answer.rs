//! What is answered: JSON, with the field and the remedy where something was wrong.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{core::Invalid, effects, facts};

/// Why a request was not carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The status.
    pub code: StatusCode,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Refusal {
    /// A refusal with this status.
    pub fn new(code: StatusCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The request is wrong; sending it again does not help.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// It may be sent again, a little later.
    pub fn later(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Whether sending it again may help.
    pub fn is_later(&self) -> bool {
        self.code.is_server_error() || self.code == StatusCode::TOO_MANY_REQUESTS
    }
}

impl From<Invalid> for Refusal {
    fn from(wrong: Invalid) -> Self {
        Self::bad(wrong.to_string())
    }
}

impl From<Vec<Invalid>> for Refusal {
    fn from(wrong: Vec<Invalid>) -> Self {
        let all: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        Self::bad(all.join("; "))
    }
}

impl From<effects::Error> for Refusal {
    fn from(error: effects::Error) -> Self {
        // A missing right or a used up quota is somebody else's to mend, and then a second try succeeds.
        match error.refusal() {
            Some(status) if !status.is_forbidden() => {
                Self::bad(format!("the API server refused it: {}", status.message))
            }
            _ if error.is_not_found() => Self::bad(format!("{error}; is there such a namespace?")),
            _ => Self::later(format!("could not be stored: {error}; send it again")),
        }
    }
}

impl From<facts::execution::Error> for Refusal {
    fn from(error: facts::execution::Error) -> Self {
        Self::later(format!("{error}; send it again"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"code": self.code.as_u16(), "message": self.message});
        let mut response = (self.code, Json(body)).into_response();
        let headers = response.headers_mut();
        if self.is_later() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if self.code == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
