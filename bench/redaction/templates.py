"""Sentence templates with placeholders for entities, by language. This is data.

The rules were developed on `DEVELOPED`. `HELD_OUT` gives the reported figures: do not look at it to change a rule.
"""

from __future__ import annotations

DEVELOPED: dict[str, str] = {
    "en": """
Please transfer the refund to {IBAN_CODE} for {PERSON}.
My name is {PERSON} and my card number is {CREDIT_CARD}.
The patient's NHS number is {UK_NHS}, date of birth {DATE_OF_BIRTH}.
{PERSON} lives at {ADDRESS}, {LOCATION}, and can be called on {PHONE_NUMBER}.
Her national insurance number, {UK_NINO}, was on the form from {ORGANIZATION}.
The SSN on file is {US_SSN}; email {EMAIL_ADDRESS} if it is wrong.
I met {PERSON} of {ORGANIZATION} in {LOCATION} last week.
Use password: {SECRET} to log in from {IP_ADDRESS}.
The invoice 20{D2}-{D6} over {D4}.00 EUR was paid on {D2} March.
Version 2.{D2} fixes ticket {D6}; see chapter {D2}.
""",
    "de": """
Bitte überweisen Sie den Betrag auf {IBAN_CODE}, Kontoinhaber {PERSON}.
Meine Steuer-ID lautet {DE_TAX_ID}.
Herr {PERSON}, geboren am {DATE_OF_BIRTH}, wohnt in der {ADDRESS} in {LOCATION}.
Die Rentenversicherungsnummer {DE_SOCIAL_SECURITY} gehört zu {PERSON}.
Versichertennummer {DE_HEALTH_INSURANCE}, Personalausweis {DE_ID_CARD}.
Die Kreditkarte {CREDIT_CARD} wurde von {ORGANIZATION} gesperrt.
Rufen Sie {PERSON} unter {PHONE_NUMBER} an oder schreiben Sie an {EMAIL_ADDRESS}.
Ihre AHV-Nummer ist {CH_AHV}, die USt-IdNr. {EU_VAT}.
Das Passwort: {SECRET}
Die Rechnung {D6} vom {D2}.03. über {D4},50 Euro ist offen.
""",
    "fr": """
Merci de virer le montant sur {IBAN_CODE} au nom de {PERSON}.
Mon numéro de sécurité sociale est {FR_NIR}.
Mme {PERSON}, née le {DATE_OF_BIRTH}, habite {ADDRESS} à {LOCATION}.
La carte {CREDIT_CARD} a été refusée par {ORGANIZATION}.
Vous pouvez joindre {PERSON} au {PHONE_NUMBER} ou à {EMAIL_ADDRESS}.
{PERSON} travaille chez {ORGANIZATION} depuis dix ans.
Le numéro de TVA est {EU_VAT}.
Le mot de passe : {SECRET}
La facture {D6} de {D4},20 euros a été réglée en mars.
""",
    "it": """
Vi prego di accreditare l'importo su {IBAN_CODE} intestato a {PERSON}.
Il mio codice fiscale è {IT_FISCAL_CODE}.
La signora {PERSON}, nata il {DATE_OF_BIRTH}, abita in {ADDRESS} a {LOCATION}.
La carta {CREDIT_CARD} è stata bloccata da {ORGANIZATION}.
Contattate {PERSON} al {PHONE_NUMBER} oppure a {EMAIL_ADDRESS}.
La partita IVA della ditta è {IT_VAT_CODE}.
La password: {SECRET}
La fattura {D6} di {D4},00 euro è stata pagata a marzo.
""",
    "es": """
Por favor, transfieran el importo a {IBAN_CODE} a nombre de {PERSON}.
Mi DNI es {ES_NIF}.
La señora {PERSON}, nacida el {DATE_OF_BIRTH}, vive en {ADDRESS}, {LOCATION}.
La tarjeta {CREDIT_CARD} fue bloqueada por {ORGANIZATION}.
Llame a {PERSON} al {PHONE_NUMBER} o escriba a {EMAIL_ADDRESS}.
El NIE del solicitante es {ES_NIE}.
La contraseña: {SECRET}
La factura {D6} de {D4},75 euros se pagó en marzo.
""",
}

HELD_OUT: dict[str, str] = {
    "en": """
Could you check why the payment from {IBAN_CODE} was rejected twice?
Customer {PERSON} ({EMAIL_ADDRESS}) disputes a charge on {CREDIT_CARD} made in {LOCATION}.
Referral: {UK_NHS} - seen by Dr {PERSON} at {ORGANIZATION} on Monday.
Payroll still shows {UK_NINO} for {PERSON}, who moved to {ADDRESS} in {LOCATION}.
According to the W-2 his social security number is {US_SSN}.
{ORGANIZATION} told {PERSON} that the contract would be signed in {LOCATION}.
Ring me on {PHONE_NUMBER} after six, or leave word with {PERSON}.
The claimant, {PERSON}, was born on {DATE_OF_BIRTH} and banks with {ORGANIZATION}.
The deploy script still contains {SECRET}, please rotate it.
Requests from {IP_ADDRESS} were blocked after {D2} attempts.
Our supplier's VAT number {EU_VAT} does not match the one that {ORGANIZATION} gave us.
{PERSON} and {PERSON} shared a flat in {LOCATION} until 2019.
Order {D6} weighs {D2}.{D1} kg and ships in {D1} boxes on pallet {D4}.
The motor ran {D4} hours at {D2} degrees before part {D6} failed.
Section {D1}.{D1} of the standard, page {D3}, sets a limit of {D2} percent.
""",
    "de": """
Warum wurde die Lastschrift von {IBAN_CODE} zurückgegeben?
Laut Bescheid hat {PERSON} die Identifikationsnummer {DE_TAX_ID}, Finanzamt {LOCATION}.
Im Antrag steht die Nummer {DE_SOCIAL_SECURITY}, unterschrieben hat {PERSON}.
Frau {PERSON} von {ORGANIZATION} hat den Ausweis {DE_ID_CARD} vorgelegt.
Die Karte der Kasse trägt die Nummer {DE_HEALTH_INSURANCE}.
Der Kunde zahlte mit {CREDIT_CARD} in {LOCATION}.
{PERSON} zog im Mai in die {ADDRESS} nach {LOCATION}.
Unter {PHONE_NUMBER} meldet sich niemand, bitte {EMAIL_ADDRESS} versuchen.
Gemäss Lohnausweis: {CH_AHV}, Arbeitgeber {ORGANIZATION}.
Auf der Rechnung fehlt die Nummer {EU_VAT} des Lieferanten.
Der Kläger {PERSON}, geb. {DATE_OF_BIRTH}, bestreitet den Vertrag mit {ORGANIZATION}.
Im Skript steht noch {SECRET}, das muss weg.
Die Maschine lief {D4} Stunden bei {D2} Grad, dann brach Teil {D6}.
Auftrag {D6} wiegt {D2},{D1} kg und steht auf Palette {D4}.
Nach Abschnitt {D1}.{D1}, Seite {D3}, gelten {D2} Prozent als Grenze.
""",
    "fr": """
Pourquoi le prélèvement sur {IBAN_CODE} a-t-il été rejeté ?
L'assuré {PERSON} a transmis son numéro {FR_NIR} à {ORGANIZATION}.
Le client a payé avec {CREDIT_CARD} à {LOCATION}, puis contesté l'achat.
{PERSON} a quitté {ORGANIZATION} pour s'installer à {LOCATION}.
Personne ne répond au {PHONE_NUMBER}, essayez {EMAIL_ADDRESS}.
Le demandeur, {PERSON}, né le {DATE_OF_BIRTH}, conteste le contrat.
Le fournisseur a indiqué {EU_VAT} sur son devis.
Le courrier adressé au {ADDRESS} est revenu de {LOCATION}.
Hier, {PERSON} a signé l'accord avec {ORGANIZATION} devant {PERSON}.
Le script contient encore {SECRET}, il faut le changer.
Les requêtes venant de {IP_ADDRESS} ont été bloquées.
La machine a tourné {D4} heures à {D2} degrés avant la panne de la pièce {D6}.
La commande {D6} pèse {D2},{D1} kg et part sur la palette {D4}.
La section {D1}.{D1}, page {D3}, fixe la limite à {D2} pour cent.
""",
    "it": """
Perché l'addebito su {IBAN_CODE} è stato respinto?
L'assicurato {PERSON} ha inviato {IT_FISCAL_CODE} a {ORGANIZATION}.
Il cliente ha pagato con {CREDIT_CARD} a {LOCATION}, poi ha contestato l'acquisto.
{PERSON} ha lasciato {ORGANIZATION} per trasferirsi a {LOCATION}.
Nessuno risponde al {PHONE_NUMBER}, provate {EMAIL_ADDRESS}.
Il ricorrente, {PERSON}, nato il {DATE_OF_BIRTH}, contesta il contratto.
La fattura riporta P.IVA {IT_VAT_CODE} e non altro.
La lettera spedita in {ADDRESS} è tornata da {LOCATION}.
Lo script contiene ancora {SECRET}, va cambiato.
La macchina ha girato {D4} ore a {D2} gradi prima del guasto al pezzo {D6}.
L'ordine {D6} pesa {D2},{D1} kg e parte sul bancale {D4}.
""",
    "es": """
¿Por qué fue devuelto el recibo de {IBAN_CODE}?
El asegurado {PERSON} envió su documento {ES_NIF} a {ORGANIZATION}.
El cliente pagó con {CREDIT_CARD} en {LOCATION} y luego reclamó.
{PERSON} dejó {ORGANIZATION} para mudarse a {LOCATION}.
Nadie contesta en el {PHONE_NUMBER}, prueben con {EMAIL_ADDRESS}.
El demandante, {PERSON}, nacido el {DATE_OF_BIRTH}, impugna el contrato.
La solicitante presentó la tarjeta {ES_NIE} ante {ORGANIZATION}.
La carta enviada a {ADDRESS} volvió de {LOCATION}.
El script todavía contiene {SECRET}, hay que cambiarlo.
La máquina trabajó {D4} horas a {D2} grados antes de fallar la pieza {D6}.
El pedido {D6} pesa {D2},{D1} kg y sale en el palé {D4}.
""",
}


def sentences_of(templates: dict[str, str], language: str) -> list[str]:
    """The templates of a language."""
    return templates[language].strip().splitlines()
