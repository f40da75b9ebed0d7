// Texts to try the scam analysis with: made up, with names that belong to nobody. Pure.

export const SAMPLES = [
  {
    name: "A parcel",
    text: "FINAL NOTICE: your parcel is held at customs. Pay the fee of $2.99 within 12 hours or it will be returned: http://parcel-release.example-delivery.top/pay\n\nQuestions? Call +1 (202) 555-0143.",
  },
  {
    name: "A bank",
    text: "Dear customer, your account was LIMITED because of unusual activity. Verify your identity immediately at https://secure-login.xn--bnk-example-9db.com and confirm your password and the one-time code. Your bank, support@bank-example.info",
  },
  {
    name: "A friend",
    text: "Hi, it is Mia. The train is late, I am at the station at about ten past six. Shall we go straight to the cinema? My number is still +1 202-555-0178.",
  },
];
