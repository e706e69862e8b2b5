//! Subjects as calls take them.

use relevo_protocol::subject::{Subject, SubjectError, SubjectRef};

/// What can be published to. Text is checked at each call; a [`Subject`] was checked when it was made, which is worth it
/// where millions of messages go to one subject.
pub trait AsSubject: Sync {
    /// The subject.
    ///
    /// # Errors
    /// A [`SubjectError`] for a text that is none.
    fn as_subject(&self) -> Result<SubjectRef<'_>, SubjectError>;
}

impl AsSubject for str {
    fn as_subject(&self) -> Result<SubjectRef<'_>, SubjectError> {
        SubjectRef::parse(self.as_bytes())
    }
}

impl AsSubject for String {
    fn as_subject(&self) -> Result<SubjectRef<'_>, SubjectError> {
        SubjectRef::parse(self.as_bytes())
    }
}

impl AsSubject for Subject {
    fn as_subject(&self) -> Result<SubjectRef<'_>, SubjectError> {
        Ok(self.as_ref())
    }
}

impl AsSubject for SubjectRef<'_> {
    fn as_subject(&self) -> Result<SubjectRef<'_>, SubjectError> {
        Ok(*self)
    }
}

impl<S: AsSubject + ?Sized> AsSubject for &S {
    fn as_subject(&self) -> Result<SubjectRef<'_>, SubjectError> {
        (**self).as_subject()
    }
}
