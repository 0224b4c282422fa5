//! Pictures that show whether to believe a number.
